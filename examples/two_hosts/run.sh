#!/usr/bin/env bash
# Train on two hosts that are two network namespaces of this machine, and once more on one host:
# the weights must be the same to the last byte.
#
#     sudo examples/two_hosts/run.sh /tmp/two_hosts
#
# Needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN, for `ip netns`) and PocketFace with the extra
# 'train'; PYTHON names the interpreter. On two real machines with a common folder, only the two
# commands of `host` are left, without `ip netns exec`.
set -euo pipefail

out=${1:?give a folder for faces and runs}
python=${PYTHON:-python}
# One network card at each end of a cable. 'ip netns' would refuse a name that another run uses.
first=pf$$a second=pf$$b
port=29500

cleanup() {
    kill $(jobs -p) 2>/dev/null || true
    ip netns del "$first" 2>/dev/null || true  # the cable goes with its end
    ip netns del "$second" 2>/dev/null || true
}
trap cleanup EXIT

ip netns add "$first"
ip netns add "$second"
ip link add name eth0 netns "$first" type veth peer name eth0 netns "$second"
ip -n "$first" address add 10.77.0.1/24 dev eth0
ip -n "$second" address add 10.77.0.2/24 dev eth0
for host in "$first" "$second"; do
    ip -n "$host" link set lo up
    ip -n "$host" link set eth0 up
done

# What both hosts read and write lies in a folder that both see.
mkdir -p "$out"
"$python" -m pocketface data synth "$out/faces" --only train \
    --people 8 --images-per-person 6 --size 48 --workers 1
training=(
    -m pocketface train pocketnet_nano --data "$out/faces/train" --device cpu --threads 1 --quiet
    --epochs 2 --set batch_size=8 --set model.image_size=48 --set model.options.channels=4
)
# On every host the same command but for --node-rank. The first host's address is where all meet.
# Gloo, and NCCL on GPUs, are told which network card leads to the others.
host() {
    ip netns exec "$1" env GLOO_SOCKET_IFNAME=eth0 NCCL_SOCKET_IFNAME=eth0 OMP_NUM_THREADS=1 \
        "$python" -m torch.distributed.run --nnodes 2 --node-rank "$2" --nproc-per-node 1 \
        --master-addr 10.77.0.1 --master-port "$port" \
        "${training[@]}" --out "$out/two_hosts" --auto-resume
}
host "$second" 1 &
host "$first" 0
wait $!

OMP_NUM_THREADS=1 "$python" -m torch.distributed.run --standalone --nproc-per-node 2 \
    "${training[@]}" --out "$out/one_host" --auto-resume

cmp "$out/two_hosts/last.safetensors" "$out/one_host/last.safetensors"
echo "two hosts and one gave the same weights"
