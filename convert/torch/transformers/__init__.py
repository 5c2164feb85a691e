"""Folders that Hugging Face's transformers saved: architecture, components, example inputs, tokenizer and labels."""
