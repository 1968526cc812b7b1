"""This package is Mask R-CNN in Keras 3, in the order of the paper (He et al., 2017, arXiv:1703.06870)."""
