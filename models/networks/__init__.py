"""The networks, in PyTorch: the classifier, the variational autoencoder, and the encoding of raw features they share."""
