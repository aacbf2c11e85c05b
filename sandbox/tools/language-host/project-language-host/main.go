// Command project-language-host starts the language host with the virtual environment that the project names.
//
// The engine starts it in the project's directory, and tells it of the runtime's options by calls only that the pinned
// host does not know yet: this takes them from Pulumi.yaml, as a host of today is told them.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"gopkg.in/yaml.v3"
)

// host is the language host's name, beside this program.
const host = "pulumi-language-python-host"

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	directory, err := os.Getwd()
	if err != nil {
		return err
	}
	options, err := optionsOf(directory)
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(program), host)
	arguments := append([]string{path}, options...)
	return syscall.Exec(path, append(arguments, os.Args[1:]...), os.Environ())
}

// optionsOf returns the host's arguments for the project in the directory, or in the nearest one above it.
func optionsOf(directory string) ([]string, error) {
	file := filepath.Join(directory, "Pulumi.yaml")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if above := filepath.Dir(directory); above != directory {
			return optionsOf(above)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var project struct{ Runtime yaml.Node }
	if err := yaml.Unmarshal(content, &project); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var runtime struct {
		Options struct{ Toolchain, Virtualenv string }
	}
	if project.Runtime.Kind != yaml.MappingNode { // `runtime: python`
		return nil, nil
	}
	if err := project.Runtime.Decode(&runtime); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if chosen := runtime.Options.Toolchain; chosen != "" && chosen != "pip" {
		return nil, fmt.Errorf("%s: the sandbox's language host knows toolchain pip only, not %s", file, chosen)
	}
	if runtime.Options.Virtualenv == "" {
		return nil, nil
	}
	return []string{"-virtualenv=" + runtime.Options.Virtualenv, "-root=" + directory}, nil
}
