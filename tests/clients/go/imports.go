//go:build others

// Of what the other programs of this module import: those in docs/clients.md, and generated ones.
package main

import (
	_ "github.com/google/uuid"
	_ "gopkg.in/validator.v2"
)
