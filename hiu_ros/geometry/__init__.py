"""Cameras, crops, rotations, rasterising and metric placement."""
