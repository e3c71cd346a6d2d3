package main

import (
	"os"
	"testing"
)

// TestNobodyTypesIntoDevNull: it is a character device as terminals are.
func TestNobodyTypesIntoDevNull(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if typed(null) != nil {
		t.Error("/dev/null is taken for somebody at a terminal: rotate would ask it")
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this machine gives no terminal: ", err)
	}
	defer master.Close()
	if typed(master) == nil {
		t.Error("nobody is seen at a terminal: rotate would not wait")
	}
}
