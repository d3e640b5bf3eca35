# shellcheck shell=bash disable=SC2034
# Sourced by deploy/run and tests/run: which Debian packages they need, and how the missing ones are installed.

build_packages=(gcc libc6-dev meson ninja-build pkg-config libuv1-dev libssl-dev libyaml-dev libunistring-dev libwebsockets-dev
    libwebsockets-evlib-uv libjansson-dev libhiredis-dev libsrtp2-dev libcap-ng-dev libseccomp-dev)
# Without these meson does not configure the tests, or they fail: shells and man read what is made for them.
test_packages=(git python3 fish man-db scdoc zsh libcmocka-dev liblua5.1-0-dev libnice-dev util-linux redis-server redis-sentinel redis-tools)
fuzz_packages=(clang-14 libclang-rt-14-dev llvm-14)
interop_packages=(iproute2 coturn prometheus chromium firefox-esr libnss3-tools openssl python3-cryptography python3-openssl haproxy nginx
    libnginx-mod-stream systemd)
# Other packages of Node.js bring npm along, and Debian's npm excludes them.
command -v npm >/dev/null || interop_packages+=(nodejs npm)

# mask_line PACKAGE...: what to run before installing those whose servers are not wanted, as the beginning of a command line.
mask_line()
{
    local package
    [ -d /run/systemd/system ] || return 0
    for package in "$@"; do
        case $package in
            coturn | haproxy | nginx | prometheus | redis-server | redis-sentinel)
                printf 'systemctl mask %s.service && ' "$package"
                ;;
        esac
    done
}

# install_packages PACKAGE...: asks apt for those that are not there; silent and without privileges when none is missing.
install_packages()
{
    local package missing=() privilege=()
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "packages are missing, and neither root nor sudo is there to install them; as root:" >&2
            echo "    $(mask_line "${missing[@]}")apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
            return 1
        fi
        privilege=(sudo)
    fi
    echo "installing: ${missing[*]}" >&2
    # Only their programs are wanted, and their packages would start servers: under systemd a mask prevents it, elsewhere a
    # runlevel in which init scripts start nothing.
    for package in coturn haproxy nginx prometheus redis-server redis-sentinel; do
        case " ${missing[*]} " in
            *" $package "*)
                if [ -d /run/systemd/system ]; then
                    echo "masking $package.service, so that installing $package starts no server" >&2
                    "${privilege[@]}" systemctl mask "$package.service" >&2 || return 1
                fi
                ;;
        esac
    done
    "${privilege[@]}" apt-get update -q </dev/null >&2 || return 1
    "${privilege[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null >&2
}
