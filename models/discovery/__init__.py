"""What a topic or a file seems to hold, from a sample: evidence of each field, guesses, and the questions that stay open."""
