#!/bin/sh
# Builds the stand-ins: build.sh PROVIDER FOLDER, with the provider's libonnxruntime_providers_cuda.so. Functions that the sources here lack
# are made from its list of undefined symbols: they do nothing and succeed.
set -e
here=$(dirname "$0") provider=$1 out=$2
mkdir -p "$out"

# library SONAME NAMES SOURCE...: NAMES is a file with one symbol a line.
library() {
    soname=$1 names=$2; shift 2
    gcc -c -fPIC -O1 -w -D_GNU_SOURCE "$@" -o "$out/part.o"
    nm "$out/part.o" | awk '$2 == "T" { print $3 }' | sort > "$out/written"
    { echo 'int stand_in_unknown(const char *);'
      sort -u "$names" | comm -23 - "$out/written" | sed 's/.*/int &(void) { static int told; return told++ ? 0 : stand_in_unknown("&"); }/'; } > "$out/rest.c"
    echo "$(echo "$soname" | tr - _) { *; };" > "$out/versions"
    link=; [ "$soname" = libcudart.so.13 ] || link="$out/libcudart.so.13"
    gcc -shared -fPIC -w "$out/part.o" "$out/rest.c" $link -Wl,-soname,"$soname" -Wl,--version-script="$out/versions" -lpthread -o "$out/$soname"
}

undefined() { nm -D --undefined-only "$provider" | awk '{ print $2 }' | sed -n "s/@$1\$//p" > "$out/names"; }

undefined libcudart.so.13;   library libcudart.so.13 "$out/names" "$here/cudart.c"
undefined libcublas.so.13;   library libcublas.so.13 "$out/names" -DCUBLAS "$here/libraries.c"
undefined libcublasLt.so.13; library libcublasLt.so.13 "$out/names" -DCUBLASLT "$here/libraries.c"
undefined libcurand.so.10;   library libcurand.so.10 "$out/names" "$here/libraries.c"
nm -D --undefined-only "$provider" | awk '{ print $2 }' | grep -E '^cu[A-Z][A-Za-z0-9_]+$' > "$out/names"; library libcuda.so.1 "$out/names" "$here/libraries.c"
: > "$out/names"; library libnvidia-ml.so.1 "$out/names" "$here/nvml.c"

# cuDNN is looked up by name when it is needed: its names are strings of the provider.
strings -n 8 "$provider" | grep -E '^cudnn[A-Z][A-Za-z]+(_v[0-9])?$' > "$out/names"; library libcudnn.so.9 "$out/names" -DCUDNN "$here/libraries.c"
rm "$out/part.o" "$out/rest.c" "$out/written" "$out/names" "$out/versions"
