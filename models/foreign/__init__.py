"""Models of other libraries: their ONNX files are read, checked and written again as a bundle's graph."""
