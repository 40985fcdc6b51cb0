"""Clicks on a photo become the mask of an object, without any weights."""

from vendor_model.segmentation.segmenter import Segmenter as Segmenter
