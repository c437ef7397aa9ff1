// Package packages holds tests of what an operator installs: the packages that scripts/package makes, the systemd units, the maintainer scripts. They build
// a package from this checkout. That its daemon works as its unit starts it is a scenario of package e2e.
//
// Tools that a machine may lack (shellcheck, rpm, systemd-analyze) skip their test, loudly.
package packages
