"""Write rendered frames in the native layout of one dataset; the module is named after the dataset."""
