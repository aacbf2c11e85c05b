// Package letsencrypt stands in for the abandoned module of this name, whose own dependencies can no longer be had.
//
// The registry calls it only when http.tls.letsencrypt is configured; that then fails at the start, with a reason.
package letsencrypt

import (
	"crypto/tls"
	"errors"
)

var errRefused = errors.New("this build of the registry has no Let's Encrypt: its module can no longer be had")

// Manager refuses whatever is asked of it.
type Manager struct{}

// CacheFile refuses.
func (*Manager) CacheFile(string) error { return errRefused }

// Registered reports no registration.
func (*Manager) Registered() bool { return false }

// Register refuses.
func (*Manager) Register(string, func(string) bool) error { return errRefused }

// SetHosts does nothing.
func (*Manager) SetHosts([]string) {}

// GetCertificate refuses.
func (*Manager) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errRefused }
