"""Answers about hardware as documents, pages and data."""
