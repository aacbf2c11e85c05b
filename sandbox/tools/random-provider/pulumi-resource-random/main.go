// Command pulumi-resource-random serves the random provider of Pulumi: its Terraform provider behind Pulumi's bridge.
package main

import (
	"context"
	"fmt"

	
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	bridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	"github.com/terraform-providers/terraform-provider-random/shim"
)

// version is that of the Python package pulumi-random which requirements.txt pins.
const version = "4.21.4"

func main() {
	ctx := context.Background()
	info := bridge.ProviderInfo{
		Name:         "random",
		P:            tfbridge.ShimProvider(shim.New()),
		Version:      version,
		MetadataInfo: bridge.NewProviderMetadata([]byte("{}")),
	}
	info.MustComputeTokens(tokens.SingleModule("random_", "index", func(_, name string) (string, error) {
		return fmt.Sprintf("random:index/%[1]s:Random%[2]s", "random"+name, name), nil
	}))
	schema := fmt.Sprintf(`{"name":"random","version":%q}`, version)
	tfbridge.Main(ctx, "random", info, tfbridge.ProviderMetadata{PackageSchema: []byte(schema)})
}
