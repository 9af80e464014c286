#!/bin/sh
# Builds a Debian package: packaging/deb.sh [BINARY [FOLDER]]
# BINARY is target/release/muster unless said otherwise, and is built if it is not there; the package
# comes into FOLDER, else into target/debian. Needs dpkg-deb alone.
set -eu
cd "$(dirname "$0")/.."
binary=${1:-target/release/muster}
out=${2:-target/debian}
[ -x "$binary" ] || cargo build --release --locked --bin muster
version=$("$binary" version | cut -d' ' -f2)
arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"

install -D -m 0755 "$binary" "$root/usr/bin/muster"
install -D -m 0644 packaging/muster.service "$root/lib/systemd/system/muster.service"
# Its group is the server's, which does not exist yet: see postinst.
install -D -m 0640 packaging/muster.toml "$root/etc/muster/muster.toml"
"$binary" man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
# complete SHELL FILE
complete() {
    mkdir -p "$(dirname "$root/$2")"
    "$binary" completions "$1" > "$root/$2"
}
complete bash usr/share/bash-completion/completions/muster
complete zsh usr/share/zsh/vendor-completions/_muster
complete fish usr/share/fish/vendor_completions.d/muster.fish
docs="$root/usr/share/doc/muster"
mkdir -p "$docs"
cp README.md CHANGELOG.md docs/*.md "$docs"
install -D -m 0644 packaging/grafana/muster.json "$docs/grafana/muster.json"
install -D -m 0644 packaging/prometheus/alerts.yml "$docs/prometheus/alerts.yml"
{
    echo 'Muster is under the MIT licence or the Apache licence 2.0, as you like.'
    echo
    cat LICENSE-MIT
    echo
    echo 'The other one is in /usr/share/common-licenses/Apache-2.0.'
} > "$docs/copyright"
find "$root" -type d -exec chmod 0755 {} +
find "$docs" "$root/usr/share" -type f -exec chmod 0644 {} +

mkdir "$root/DEBIAN"
# The C library that it was linked with is the oldest that is sure to do; the rest is built in.
libc=$(dpkg-query --showformat='${Version}' --show libc6 | sed 's/-.*//')
cat > "$root/DEBIAN/control" <<CONTROL
Package: muster
Version: $version
Architecture: $arch
Maintainer: The Muster authors <muster@localhost>
Section: net
Priority: optional
Depends: libc6 (>= $libc), libgcc-s1, adduser
Recommends: ca-certificates
Suggests: postgresql
Installed-Size: $(du -sk "$root" | cut -f1)
Description: SCIM 2.0 provisioning server
 Identity providers such as Okta and Microsoft Entra ID push users and groups
 to it; people sign in with the same provider by OpenID Connect, and end on
 the same users and teams. The store is a SQLite file, or PostgreSQL.
CONTROL
echo /etc/muster/muster.toml > "$root/DEBIAN/conffiles"
cat > "$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    adduser --system --group --quiet --home /var/lib/muster --no-create-home muster
    chgrp muster /etc/muster/muster.toml
    install -d -o muster -g muster -m 0700 /var/lib/muster
    # An upgrade takes effect by a restart, which drains; a first installation is begun by hand, once
    # the file says what it should.
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl try-restart muster.service
    fi
fi
POSTINST
cat > "$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --quiet disable --now muster.service || true
fi
PRERM
chmod 0755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
mkdir -p "$out"
dpkg-deb --root-owner-group --build "$root" "$out/muster_${version}_$arch.deb"
