"""Certificates of a moment, made by openssl: an authority, what it issues and what it takes back."""
import pathlib

from harness import run_command

PAST = ("20200101000000Z", "20200201000000Z")
OPENSSL_CONFIG = """\
[ca]
default_ca = here
[here]
dir = {folder}
database = $dir/index
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
[any]
commonName = supplied
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments):
    return run_command("openssl", *arguments)


class Certificate:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def serial(self):
        return openssl("x509", "-in", self.cert, "-noout", "-serial").strip().removeprefix("serial=")

    def bundle(self, path):
        """Certificate and key in one file, as HAProxy reads them."""
        path.write_text(self.cert.read_text() + self.key.read_text())
        return path


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.config = self.folder / "openssl.cnf"
        self.config.write_text(OPENSSL_CONFIG.format(folder=self.folder))
        (self.folder / "index").touch()
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "crlnumber").write_text("01\n")
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", *KEY, "-keyout", self.key, "-out", self.cert, "-days", "2", "-subj", f"/CN=Test {name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, hosts=(), usage="serverAuth", valid=None):
        """`hosts`: DNS names and IP addresses; `valid`: (from, to), else two days from now."""
        cert, key, request, extensions = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        names = ",".join(f"{'IP' if host.replace('.', '').isdigit() or ':' in host else 'DNS'}:{host}" for host in hosts or [name])
        extensions.write_text(f"basicConstraints=critical,CA:FALSE\nextendedKeyUsage={usage}\nsubjectAltName={names}\n")
        openssl("req", "-new", *KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        dates = ("-startdate", valid[0], "-enddate", valid[1]) if valid else ()
        openssl("ca", "-batch", "-config", self.config, "-notext", "-in", request, "-out", cert, "-extfile", extensions, *dates)
        return Certificate(cert, key)

    def revoke(self, certificate):
        openssl("ca", "-batch", "-config", self.config, "-revoke", certificate.cert)

    def revocations(self, name="crl.pem", valid=None):
        """A list of what was revoked until now: its file."""
        path = self.folder / name
        dates = ("-crl_lastupdate", valid[0], "-crl_nextupdate", valid[1]) if valid else ()
        openssl("ca", "-batch", "-config", self.config, "-gencrl", "-out", path, *dates)
        return path
