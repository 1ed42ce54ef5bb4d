"""What is done for each request; ``routes.py`` says for which."""
