// The one C++ file: see faiss_shim.h. Exceptions end here.
//
// OpenMP: the number of threads is a setting of the calling thread. A search
// runs on its own thread alone; a build sets what it was given.

#include "faiss_shim.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/index_io.h>
#include <faiss/invlists/InvertedLists.h>
#include <omp.h>

namespace
{

// The coarse quantizer while building: its queries in slices over the OpenMP
// threads, each a BLAS call of one thread. FAISS leaves that to BLAS's own
// threads, which akin holds at one.
struct SlicedFlat : faiss::IndexFlatIP {
    using faiss::IndexFlatIP::IndexFlatIP;
    void search(int64_t n, const float *x, int64_t k, float *dis, int64_t *ids,
                const faiss::SearchParameters * = nullptr) const override
    {
        const int64_t slice = 512, slices = (n + slice - 1) / slice;
#pragma omp parallel for schedule(dynamic) if (slices > 1)
        for (int64_t s = 0; s < slices; s++) {
            int64_t i = s * slice;
            faiss::IndexFlatIP::search(std::min(slice, n - i), x + i * d, k,
                                       dis + i * k, ids + i * k);
        }
    }
};

struct RowFilter : faiss::IDSelector {
    shim_filter f;
    bool is_member(int64_t row) const override
    {
        if (f.dead && f.dead[row / 64] >> (row % 64) & 1) return false;
        if (!f.words) return true;
        uint64_t label = f.labels[row];
        return label / 64 < f.n_words &&
               (f.words[label / 64] >> (label % 64) & 1);
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
    index->do_polysemous_training = false;
    return index;
}

} // namespace

int akin__shim_train(const shim_training *how, const float *sample, int64_t n,
                     FaissIndex **out, shim_message msg)
{
    return guarded(msg, [&]() {
        omp_set_num_threads(how->threads);
        std::unique_ptr<SlicedFlat> flat(new SlicedFlat(how->dim));
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
        // 64 points a centroid and 10 rounds: as good after rescoring as the
        // defaults, at a fifteenth of the time
        index->pq.cp.niter = 10;
        index->pq.cp.max_points_per_centroid = 64;
        index->pq.cp.min_points_per_centroid = 1;
        index->pq.cp.seed = how->seed;
        index->train(n, sample);
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
                int64_t row = from_ids[i];
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
                   const int64_t *rows, int threads, double *fit,
                   shim_message msg)
{
    return guarded(msg, [&]() {
        faiss::IndexIVFPQ *ivf = const_cast<faiss::IndexIVFPQ *>(ivfpq(index));
        std::vector<int64_t> lists((size_t)n);
        std::vector<float> dots((size_t)n);
        omp_set_num_threads(threads);
        ivf->quantizer->search(n, x, 1, dots.data(), lists.data());
        ivf->add_core(n, x, rows, lists.data());
        for (float dot : dots)
            *fit += dot;
        return 0;
    });
}

// The two steps of IndexIVF::search without what it does between them: with
// mapped lists that starts a pool of threads for each query to read ahead.
int akin__shim_search(const FaissIndex *index, const float *query, int nprobe,
                      int k, const shim_filter *filter, float *scores,
                      int64_t *rows, shim_message msg)
{
    return guarded(msg, [&]() {
        const faiss::IndexIVFPQ *ivf = ivfpq(index);
        std::vector<int64_t> lists((size_t)nprobe);
        std::vector<float> dots((size_t)nprobe);
        faiss::IndexIVFStats stats; // not the global ones: threads share those
        RowFilter selector;
        faiss::SearchParametersIVF params;
        if (omp_get_max_threads() != 1) omp_set_num_threads(1);
        selector.f = *filter;
        params.nprobe = (size_t)nprobe;
        params.sel = filter->dead || filter->words ? &selector : nullptr;
        ivf->quantizer->search(1, query, nprobe, dots.data(), lists.data());
        ivf->search_preassigned(1, query, k, lists.data(), dots.data(), scores,
                                rows, false, &params, &stats);
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
