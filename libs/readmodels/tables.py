import till
