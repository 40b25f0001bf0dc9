//go:build race

package main

// racing tells that the tests look for data races.
const racing = true
