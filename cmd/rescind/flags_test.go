package main

import (
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandCanBeAsked asks each command for its help: a flag that is
// defined twice is a panic, of all commands, before anything is carried out.
func TestEveryCommandCanBeAsked(t *testing.T) {
	t.Parallel()
	asked := 0
	var ask func(path []string, c *cobra.Command)
	ask = func(path []string, c *cobra.Command) {
		asked++
		root := newRoot(nil)
		root.SetArgs(append(path, "--help"))
		root.SetOut(t.Output())
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%q: %v", path, err)
		}
		for _, child := range c.Commands() {
			ask(append(path[:len(path):len(path)], child.Name()), child)
		}
	}
	ask(nil, newRoot(nil))
	if asked < 20 {
		t.Errorf("only %d commands", asked)
	}
}
