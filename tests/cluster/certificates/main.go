// Command certificates writes what a control plane on 127.0.0.1 needs to trust itself: a CA, one server certificate, client
// certificates for the administrator and the controller manager, and the key that signs service-account tokens.
//
// It is here because Python's standard library cannot make certificates, and Go, which builds the servers, can.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

type authority struct {
	directory   string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: certificates DIRECTORY")
	}
	ca := newAuthority(os.Args[1])
	ca.issue("server", pkix.Name{CommonName: "kube-apiserver"}, x509.ExtKeyUsageServerAuth)
	ca.issue("admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, x509.ExtKeyUsageClientAuth)
	ca.issue("controller-manager", pkix.Name{CommonName: "system:kube-controller-manager"}, x509.ExtKeyUsageClientAuth)
	writeKey(filepath.Join(ca.directory, "service-account.key"), newKey())
}

func newAuthority(directory string) authority {
	template := newTemplate(pkix.Name{CommonName: "driftwarden-tests"})
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature
	key := newKey()
	certificate := sign(template, template, key.Public(), key)
	writePEM(filepath.Join(directory, "ca.crt"), "CERTIFICATE", certificate.Raw)
	return authority{directory, certificate, key}
}

func (ca authority) issue(name string, subject pkix.Name, usage x509.ExtKeyUsage) {
	template := newTemplate(subject)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{usage}
	if usage == x509.ExtKeyUsageServerAuth {
		template.IPAddresses, template.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	}
	key := newKey()
	certificate := sign(template, ca.certificate, key.Public(), ca.key)
	writePEM(filepath.Join(ca.directory, name+".crt"), "CERTIFICATE", certificate.Raw)
	writeKey(filepath.Join(ca.directory, name+".key"), key)
}

func newTemplate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	check(err)
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	return key
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	check(err)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	return certificate
}

func writeKey(path string, key *ecdsa.PrivateKey) {
	der, err := x509.MarshalECPrivateKey(key)
	check(err)
	writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) {
	check(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
