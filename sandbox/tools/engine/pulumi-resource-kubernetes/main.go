// Command pulumi-resource-kubernetes serves the real Kubernetes provider of Pulumi.
//
// The plugin's own main embeds its schema from generated files that the module's archive lacks. A program in Python
// never asks the plugin for its schema, so an empty one serves here.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

// version is that of the Python package pulumi-kubernetes which requirements.txt pins: the engine warns of a plugin that
// says less. The provider itself is of the commit that ../go.mod pins, which follows release 4.25.0.
const version = "4.34.2"

func main() {
	provider.Serve("kubernetes", version, []byte("{}"), []byte("{}"))
}
