"""This package takes over weights of Matterport's Mask R-CNN (github.com/matterport/Mask_RCNN, 2.1)."""
