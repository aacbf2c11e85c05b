// Package shim hands on the Terraform provider "random", which its module keeps internal.
//
// Only a package below the provider's own module path may import it, hence this module's path.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	random "github.com/terraform-providers/terraform-provider-random/internal/provider"
)

// New returns the Terraform provider "random".
func New() provider.Provider { return random.New() }
