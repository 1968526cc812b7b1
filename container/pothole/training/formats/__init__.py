"""Each module reads the files of one labelling tool as COCO."""
