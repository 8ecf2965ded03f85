"""What the database knows of rooms."""
