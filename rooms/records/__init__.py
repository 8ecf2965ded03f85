"""What the database contains about rooms."""
