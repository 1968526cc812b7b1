"""`train` with a shallow backbone: TensorFlow takes longer to trace the whole one than to train it here."""

from pothole.detection.mask_rcnn import backbone
from pothole.entrypoints.cli.train import main

SHALLOW = tuple((filters, 1, stride) for filters, _, stride in backbone.BLOCKS)

if __name__ == "__main__":
    backbone.BLOCKS = SHALLOW
    main()
