"""Files: who may write where, and tables read from text."""
