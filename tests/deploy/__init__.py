"""What is deployed, checked without a container engine or a cluster."""
