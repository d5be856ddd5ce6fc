"""What a teacher hands on to a student."""
