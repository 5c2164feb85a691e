"""Other ways to run the same model, each in a process of its own, to be measured beside ours."""
