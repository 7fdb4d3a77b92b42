"""The program of the peer Quix Streams."""
