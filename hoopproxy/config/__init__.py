"""The three files of configuration, read and checked whole before anything opens."""
