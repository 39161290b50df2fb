/* What Rust sees of DPDK: its headers, the inline functions wrapped once per burst, and constants that are macros. */
#ifndef VROUTER_SHIM_H
#define VROUTER_SHIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdint.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#ifdef VR_VHOST
#include <linux/virtio_net.h>
#include <rte_eth_vhost.h>
#endif
#ifdef VR_ACL
#include <rte_acl.h>
#endif
#ifdef VR_FIB
#include <rte_fib.h>
#include <rte_fib6.h>
#endif
#ifdef VR_HASH
#include <rte_hash.h>
#endif

/*
 * The fields of struct rte_mbuf that Rust reads and writes. A struct of our own because releases wrap these fields in
 * differing anonymous unions, which bindgen names by number; shim.c asserts every offset against the installed header.
 */
struct vr_mbuf {
	void *buf_addr;
	uint64_t iova_or_next;
	uint16_t data_off;
	uint16_t refcnt;
	uint16_t nb_segs;
	uint16_t port;
	uint64_t ol_flags;
	uint32_t packet_type;
	uint32_t pkt_len;
	uint16_t data_len;
	uint16_t vlan_tci;
	uint32_t rss;
	uint32_t hash_high;
	uint16_t vlan_tci_outer;
	uint16_t buf_len;
	struct rte_mempool *pool;
	uint64_t next_or_dynfield;
	uint64_t tx_offload;
};

static const uint64_t VR_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t VR_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t VR_TX_OFFLOAD_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t VR_RSS_WANTED = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
static const uint32_t VR_MQ_RX_RSS = RTE_ETH_MQ_RX_RSS;
static const uint32_t VR_HEADROOM = RTE_PKTMBUF_HEADROOM;
static const uint64_t VR_MBUF_RX_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t VR_MBUF_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t VR_MBUF_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t VR_MBUF_TX_IPV4_CKSUM = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
static const uint64_t VR_RX_OFFLOAD_L4_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t VR_TX_OFFLOAD_L4_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const uint64_t VR_MBUF_RX_L4_CKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t VR_MBUF_RX_L4_CKSUM_NONE = RTE_MBUF_F_RX_L4_CKSUM_NONE;
static const uint64_t VR_MBUF_RX_LRO = RTE_MBUF_F_RX_LRO;
static const uint64_t VR_MBUF_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t VR_MBUF_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t VR_MBUF_TX_L4_MASK = RTE_MBUF_F_TX_L4_MASK;
static const uint64_t VR_MBUF_TX_TCP_CKSUM = RTE_MBUF_F_TX_TCP_CKSUM;
static const uint64_t VR_MBUF_TX_UDP_CKSUM = RTE_MBUF_F_TX_UDP_CKSUM;
static const uint64_t VR_MBUF_TX_TCP_SEG = RTE_MBUF_F_TX_TCP_SEG;
static const uint64_t VR_MBUF_NOT_DIRECT = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
static const uint32_t VR_TX_L3_LEN_SHIFT = RTE_MBUF_L2_LEN_BITS;
static const uint32_t VR_TX_L4_LEN_SHIFT = RTE_MBUF_L2_LEN_BITS + RTE_MBUF_L3_LEN_BITS;
static const uint32_t VR_TX_SEGMENT_SHIFT = RTE_MBUF_L2_LEN_BITS + RTE_MBUF_L3_LEN_BITS + RTE_MBUF_L4_LEN_BITS;
static const int VR_LINK_UP = RTE_ETH_LINK_UP;
static const uint32_t VR_MOST_PORTS = RTE_MAX_ETHPORTS;

uint16_t vr_rx_burst(uint16_t port, uint16_t queue, struct vr_mbuf **mbufs, uint16_t count);
uint16_t vr_tx_burst(uint16_t port, uint16_t queue, struct vr_mbuf **mbufs, uint16_t count);
/*
 * As rte_pktmbuf_pool_create on any socket, but its buffers lie without gaps where devices use the process's own addresses. NULL
 * and rte_errno when it cannot be had.
 */
struct rte_mempool *vr_pool_create(const char *name, uint32_t size, uint32_t cache, uint16_t room);
/* NULL when the pool is empty; the new mbuf has the pool's headroom and no data. */
struct vr_mbuf *vr_mbuf_alloc(struct rte_mempool *pool);
void vr_mbuf_free(struct vr_mbuf *mbuf);
/* All of them or, with a negative answer, none; each as by vr_mbuf_alloc. */
int vr_mbuf_alloc_bulk(struct rte_mempool *pool, struct vr_mbuf **mbufs, uint16_t count);
void vr_mbuf_free_bulk(struct vr_mbuf **mbufs, uint16_t count);
/*
 * One mbuf of `pool` with the bytes of a packet that is in several segments or in borrowed memory, and with what its device said of it; the
 * packet is freed. NULL when there is no pool, when it is empty, or when a buffer of it is too small.
 */
struct vr_mbuf *vr_mbuf_gather(struct rte_mempool *pool, struct vr_mbuf *packet);
/*
 * Whether the port's peer is a guest: its driver is net_vhost, and this DPDK has its calls. From then on vr_guest says what the guest has
 * said of itself. Before the port is started; 0 or a negative errno.
 */
int vr_guest_watch(uint16_t port);
void vr_guest_forget(uint16_t port);
/* What the guest takes, in bits VR_GUEST_*, of this transmit queue; 0 while there is none. Any thread. */
uint32_t vr_guest(uint16_t port, uint16_t queue);
#define VR_GUEST_QUEUE 1
#define VR_GUEST_TSO4 2
#define VR_GUEST_TSO6 4
/* The time stamp counter, and how often it counts in a second. */
uint64_t vr_cycles(void);
uint64_t vr_cycles_hertz(void);
/* rte_errno of the calling thread, which is a thread-local that only C reaches. */
int vr_errno(void);
/* Whether the calling thread has an lcore number. */
int vr_has_lcore(void);
/* Whether the link is up, asked without waiting; -1 when the device cannot say. */
int vr_link_up(uint16_t port);

#endif
