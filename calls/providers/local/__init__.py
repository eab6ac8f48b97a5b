"""Speech models that an operator downloads: better ears and voices than the embedded ones."""
