"""What happens when the package is imported: next to nothing, until something of it is used."""
