package main
import "github.com/spf13/cobra"
func newDemo(environment) *cobra.Command { return &cobra.Command{Use:"demo"} }
