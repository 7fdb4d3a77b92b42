"""What only a GPU can show. Without one every test skips, and says what it needs."""
