"""till: the operator's command line. One file per verb in `till.verbs`; `till.app` registers them."""
