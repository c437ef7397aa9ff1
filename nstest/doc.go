// Package nstest runs the tests of a package in namespaces of their own, so that an ordinary user may have links, addresses and packet sockets in them, and the
// host's own are left alone. Its name follows that of net/http/httptest. Nothing but tests imports it.
package nstest
