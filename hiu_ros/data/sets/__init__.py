"""Loaders of the published hand data sets, one module each."""
