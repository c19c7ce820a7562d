"""Kernel → changes."""
