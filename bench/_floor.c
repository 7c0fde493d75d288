/* The least that fan-out can cost: AES-256-GCM and one send with UDP_SEGMENT per viewer and frame, nothing else.
 * cc -O2 -o floor _floor.c -lcrypto;  floor VIEWERS SECONDS  prints the CPU used per viewer, percent of a core.
 * Each viewer is sent 30 frames a second of 9 packets of 1200 bytes (2.6 Mbit/s), over loopback. */
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { PACKETS = 9, HEADER = 20, PAYLOAD = 1164, TAG = 16, STRIDE = HEADER + PAYLOAD + TAG };

static unsigned char plain[PACKETS][PAYLOAD], wire[PACKETS][STRIDE];

static double cpu(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int viewers = atoi(arguments[1]), frames = atoi(arguments[2]) * 30;
    struct sockaddr_in *where = calloc(viewers, sizeof *where);
    EVP_CIPHER_CTX **keys = calloc(viewers, sizeof *keys);
    unsigned char key[32] = {1}, iv[12] = {0};
    for (int v = 0; v < viewers; v++) {
        int sink = socket(AF_INET, SOCK_DGRAM, 0), small = 1 << 12;
        socklen_t size = sizeof *where;
        setsockopt(sink, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        where[v].sin_family = AF_INET;
        where[v].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(sink, (void *)&where[v], sizeof *where) || getsockname(sink, (void *)&where[v], &size)) return 1;
        keys[v] = EVP_CIPHER_CTX_new();
        key[0] = v;
        EVP_EncryptInit_ex(keys[v], EVP_aes_256_gcm(), NULL, key, iv);
    }
    int out = socket(AF_INET, SOCK_DGRAM, 0), segment = STRIDE, length;
    if (setsockopt(out, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment)) return 3;
    double began = cpu();
    for (int frame = 0; frame < frames; frame++) {
        for (int v = 0; v < viewers; v++) {
            for (int p = 0; p < PACKETS; p++) {
                unsigned char *at = wire[p];
                memcpy(iv, &frame, sizeof frame);
                iv[8] = p;
                memcpy(at, iv, sizeof iv);
                EVP_EncryptInit_ex(keys[v], NULL, NULL, NULL, iv);
                EVP_EncryptUpdate(keys[v], NULL, &length, at, HEADER);
                EVP_EncryptUpdate(keys[v], at + HEADER, &length, plain[p], PAYLOAD);
                EVP_EncryptFinal_ex(keys[v], at + HEADER + length, &length);
                EVP_CIPHER_CTX_ctrl(keys[v], EVP_CTRL_GCM_GET_TAG, TAG, at + HEADER + PAYLOAD);
            }
            if (sendto(out, wire, sizeof wire, 0, (void *)&where[v], sizeof *where) < 0) return 4;
        }
        struct timespec rest = {0, 33000000};
        nanosleep(&rest, NULL);
    }
    printf("%.4f\n", (cpu() - began) / (frames / 30.0) / viewers * 100);
    return 0;
}
