"""Files: who may write where, files that appear whole, and tables read from text."""
