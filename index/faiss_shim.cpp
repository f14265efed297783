// The one C++ file: see faiss_shim.h. Exceptions end here.
//
// Threads: FAISS always runs on the calling thread alone here, and a build cuts
// its work into slices for a pool of akin's. OpenMP's own threads would spin
// between the many short regions of a training, which on a machine that is also
// answering queries made it several times slower.

#include "faiss_shim.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/index_io.h>
#include <faiss/invlists/InvertedLists.h>
#include <omp.h>

namespace
{

void one_thread()
{
    if (omp_get_max_threads() != 1) omp_set_num_threads(1);
}

// body(first, count) for each slice of n, on the pool; its first exception is
// thrown again here.
template <typename F>
void each_slice(akin_pool *pool, int64_t n, int64_t slice, F body)
{
    struct job {
        F &body;
        int64_t n, slice;
        std::mutex lock;
        std::exception_ptr failure;
    } all{body, n, slice, {}, nullptr};
    akin_pool_each(
        pool, (size_t)((n + slice - 1) / slice),
        [](void *arg, size_t i) {
            job *j = static_cast<job *>(arg);
            int64_t first = (int64_t)i * j->slice;
            try {
                one_thread();
                j->body(first, std::min(j->slice, j->n - first));
            } catch (...) {
                std::lock_guard<std::mutex> guard(j->lock);
                j->failure = std::current_exception();
            }
        },
        &all);
    if (all.failure) std::rethrow_exception(all.failure);
}

// The coarse quantizer while building: its queries in slices over the pool.
struct SlicedFlat : faiss::IndexFlatIP {
    using faiss::IndexFlatIP::IndexFlatIP;
    akin_pool *pool = nullptr;
    void search(int64_t n, const float *x, int64_t k, float *dis, int64_t *ids,
                const faiss::SearchParameters * = nullptr) const override
    {
        each_slice(pool, n, 1024, [&](int64_t i, int64_t count) {
            faiss::IndexFlatIP::search(count, x + i * d, k, dis + i * k,
                                       ids + i * k);
        });
    }
};

const faiss::IndexIVFPQ *ivfpq(const FaissIndex *index)
{
    return static_cast<const faiss::IndexIVFPQ *>(
        reinterpret_cast<const faiss::Index *>(index));
}

FaissIndex *handle(faiss::Index *index)
{
    return reinterpret_cast<FaissIndex *>(index);
}

int failed(shim_message msg, const char *what)
{
    snprintf(msg.text, msg.size, "%s", what);
    return -1;
}

template <typename F> int guarded(shim_message msg, F body)
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return failed(msg, "out of memory");
    } catch (const std::exception &e) {
        return failed(msg, e.what());
    } catch (...) {
        return failed(msg, "unknown exception");
    }
}

// Inner product needs no table per list (for L2 FAISS keeps nlist * m * 1 KB:
// 268 MB at nlist 4096), and ranks unit vectors alike.
std::unique_ptr<faiss::IndexIVFPQ> new_index(faiss::Index *quantizer, int dim,
                                             int nlist, int m)
{
    std::unique_ptr<faiss::IndexIVFPQ> index(new faiss::IndexIVFPQ(
        quantizer, dim, nlist, m, 8, faiss::METRIC_INNER_PRODUCT));
    index->own_fields = true;
    return index;
}

// The product quantizer, as IndexIVFPQ::train_residual has it but a sub-quantizer
// a slice. 64 points a centroid and 10 rounds are as good after rescoring as
// the defaults, at a fifteenth of the time.
void train_pq(faiss::IndexIVFPQ *index, const shim_training *how,
              const float *sample, int64_t n)
{
    faiss::ProductQuantizer &pq = index->pq;
    const int64_t d = index->d, wanted = 64 * (int64_t)pq.ksub;
    std::vector<int64_t> lists;
    std::vector<float> residuals;
    n = std::min(n, wanted); // the sample is in random order
    lists.resize((size_t)n);
    residuals.resize((size_t)(n * d));
    index->quantizer->assign(n, sample, lists.data());
    for (int64_t i = 0; i < n; i++)
        index->quantizer->compute_residual(
            sample + i * d, residuals.data() + i * d, lists[(size_t)i]);
    each_slice(how->pool, (int64_t)pq.M, 1, [&](int64_t m, int64_t) {
        std::vector<float> part((size_t)n * pq.dsub);
        for (int64_t i = 0; i < n; i++)
            memcpy(part.data() + (size_t)i * pq.dsub,
                   residuals.data() + (size_t)(i * d) + (size_t)m * pq.dsub,
                   pq.dsub * sizeof(float));
        faiss::ClusteringParameters cp;
        cp.niter = 10;
        cp.seed = how->seed;
        cp.min_points_per_centroid = 1;
        faiss::Clustering clustering((int)pq.dsub, (int)pq.ksub, cp);
        faiss::IndexFlatL2 flat((int64_t)pq.dsub);
        clustering.train(n, part.data(), flat);
        pq.set_params(clustering.centroids.data(), (int)m);
    });
    index->is_trained = true;
}

} // namespace

int akin__shim_train(const shim_training *how, const float *sample, int64_t n,
                     FaissIndex **out, shim_message msg)
{
    return guarded(msg, [&]() {
        one_thread();
        std::unique_ptr<SlicedFlat> flat(new SlicedFlat(how->dim));
        flat->pool = how->pool;
        faiss::ClusteringParameters cp;
        cp.niter = 1; // one at a time, so that it can be cancelled
        cp.spherical = true;
        cp.seed = how->seed;
        cp.min_points_per_centroid = 1;
        cp.max_points_per_centroid = 1 << 30;
        faiss::Clustering clustering(how->dim, how->nlist, cp);
        for (int i = 0; i < how->iterations; i++) {
            flat->reset();
            clustering.train(n, sample, *flat);
            if (how->progress &&
                !how->progress(how->user, i + 1, how->iterations + 1))
                return 1;
        }
        auto index = new_index(flat.release(), how->dim, how->nlist, how->m);
        train_pq(index.get(), how, sample, n);
        *out = handle(index.release());
        return 0;
    });
}

int akin__shim_copy(const FaissIndex *from, const int64_t *row_map,
                    int64_t n_rows, FaissIndex **out, shim_message msg)
{
    return guarded(msg, [&]() {
        const faiss::IndexIVFPQ *old = ivfpq(from);
        std::unique_ptr<SlicedFlat> flat(new SlicedFlat(old->d));
        std::vector<float> centroids(old->nlist * (size_t)old->d);
        old->quantizer->reconstruct_n(0, (int64_t)old->nlist, centroids.data());
        flat->add((int64_t)old->nlist, centroids.data());
        auto index =
            new_index(flat.release(), old->d, (int)old->nlist, (int)old->pq.M);
        index->pq = old->pq;
        index->is_trained = true;
        std::vector<int64_t> ids;
        std::vector<uint8_t> codes;
        for (size_t list = 0; list < old->nlist; list++) {
            size_t size = old->invlists->list_size(list);
            faiss::InvertedLists::ScopedCodes from_codes(old->invlists, list);
            faiss::InvertedLists::ScopedIds from_ids(old->invlists, list);
            ids.clear();
            codes.clear();
            for (size_t i = 0; i < size; i++) {
                int64_t row; // mapped lists lie at any address
                memcpy(&row, from_ids.get() + i, sizeof row);
                if (row < 0 || row >= n_rows || row_map[row] < 0) continue;
                const uint8_t *code = from_codes.get() + i * old->code_size;
                ids.push_back(row_map[row]);
                codes.insert(codes.end(), code, code + old->code_size);
            }
            index->invlists->add_entries(list, ids.size(), ids.data(),
                                         codes.data());
            index->ntotal += (int64_t)ids.size();
        }
        *out = handle(index.release());
        return 0;
    });
}

int akin__shim_add(FaissIndex *index, int64_t n, const float *x,
                   const int64_t *rows, akin_pool *pool, double *fit,
                   shim_message msg)
{
    return guarded(msg, [&]() {
        faiss::IndexIVFPQ *ivf = const_cast<faiss::IndexIVFPQ *>(ivfpq(index));
        std::vector<int64_t> lists((size_t)n);
        std::vector<float> dots((size_t)n);
        std::vector<uint8_t> codes((size_t)n * ivf->code_size);
        one_thread();
        static_cast<SlicedFlat *>(ivf->quantizer)->pool = nullptr;
        each_slice(pool, n, 512, [&](int64_t i, int64_t count) {
            const float *part = x + i * ivf->d;
            ivf->quantizer->search(count, part, 1, dots.data() + i,
                                   lists.data() + i);
            ivf->encode_vectors(count, part, lists.data() + i,
                                codes.data() + (size_t)i * ivf->code_size);
        });
        for (int64_t i = 0; i < n; i++) {
            ivf->invlists->add_entry((size_t)lists[(size_t)i], rows[i],
                                     codes.data() + (size_t)i * ivf->code_size);
            *fit += dots[(size_t)i];
        }
        ivf->ntotal += n;
        return 0;
    });
}

int akin__shim_book(const FaissIndex *index, float *out, shim_message msg)
{
    return guarded(msg, [&]() {
        const faiss::ProductQuantizer &pq = ivfpq(index)->pq;
        if (pq.M * pq.dsub != (size_t)ivfpq(index)->d || pq.ksub != 256 ||
            pq.centroids.size() != pq.ksub * pq.M * pq.dsub)
            return failed(msg, "the codebook is not of the vectors' width");
        for (size_t j = 0; j < pq.M; j++)
            for (size_t d = 0; d < pq.dsub; d++)
                for (size_t c = 0; c < pq.ksub; c++)
                    *out++ = pq.get_centroids(j, c)[d];
        return 0;
    });
}

size_t akin__shim_list(const FaissIndex *index, size_t list,
                       const uint8_t **codes, const void **rows)
{
    // mapped lists: neither call allocates, locks or throws
    const faiss::InvertedLists *lists = ivfpq(index)->invlists;
    *codes = lists->get_codes(list);
    *rows = lists->get_ids(list);
    return lists->list_size(list);
}

int akin__shim_centroids(const FaissIndex *index, float *out, shim_message msg)
{
    return guarded(msg, [&]() {
        const faiss::IndexIVFPQ *ivf = ivfpq(index);
        ivf->quantizer->reconstruct_n(0, (int64_t)ivf->nlist, out);
        return 0;
    });
}

int akin__shim_read(FILE *file, int dim, int nlist, int m, int64_t rows,
                    FaissIndex **out, shim_message msg)
{
    return guarded(msg, [&]() {
        std::unique_ptr<faiss::Index> index(faiss::read_index(
            file, faiss::IO_FLAG_MMAP | faiss::IO_FLAG_READ_ONLY));
        const auto *ivf = dynamic_cast<const faiss::IndexIVFPQ *>(index.get());
        if (!ivf || ivf->d != dim || ivf->nlist != (size_t)nlist ||
            ivf->pq.M != (size_t)m || ivf->pq.nbits != 8 ||
            ivf->ntotal != rows ||
            ivf->metric_type != faiss::METRIC_INNER_PRODUCT ||
            ivf->quantizer->ntotal != nlist)
            return failed(msg, "not the IVF-PQ that the header names");
        *out = handle(index.release());
        return 0;
    });
}

size_t akin__shim_bytes(const FaissIndex *index)
{
    const faiss::IndexIVFPQ *ivf = ivfpq(index);
    return ivf->nlist * (size_t)ivf->d * sizeof(float) +
           ivf->pq.centroids.size() * sizeof(float) + ivf->nlist * 24;
}
