"""What is answered: the models of the OpenAPI document. Amounts are texts, times are UTC."""
