"""Documents' bytes into text, in a process that is there for nothing else. Only what it reads as text is read by the host itself, if short."""
