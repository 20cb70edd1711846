"""Results as tables, pictures and one page. Computes no metric."""
